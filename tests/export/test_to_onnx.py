import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from export import to_onnx
from trainers.bundling.weights import round_weights
from trainers.networks import RRDBNet
from trainers.upscalers.esrgan import public_state


def test_public_checkpoints_are_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    upscaler = RRDBNet(8, 1, 4)
    for parameter in upscaler.parameters():
        nn.init.normal_(parameter, 0.0, 0.15)
    public = tmp_path / "ESRGAN.pth"
    torch.save(public_state(upscaler), public)
    assert to_onnx.main([str(public)]) == 0
    x = torch.rand(1, 3, 20, 30)
    session = onnxruntime.InferenceSession(tmp_path / "ESRGAN.onnx", providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"picture": x.numpy()})
    round_weights(upscaler)
    with torch.no_grad():
        assert np.abs(got - upscaler(x).numpy()).max() < 1e-4


def test_command_names_what_is_wrong(tmp_path: Path) -> None:
    script = Path(to_onnx.__file__)
    broken = tmp_path / "a.pt"
    broken.write_bytes(b"nothing")
    for source, message in ((broken, "not a checkpoint"), (tmp_path / "b.pt", "there is no checkpoint")):
        result = subprocess.run(
            [sys.executable, script, source], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert result.returncode == 1
        assert message in result.stderr
        assert "Traceback" not in result.stderr
