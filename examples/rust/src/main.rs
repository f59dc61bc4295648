//! render PHOTOGRAPH|BUNDLE WIDTH HEIGHT OUT.ppm [SEED]: by two threads, each of them half of one canvas.
use std::{env, error::Error, fs, path::Path, process, thread};

use ourgan::{Region, Source};

fn render(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [source, width, height, out, seed @ ..] = arguments else {
        return Err("usage: render PHOTOGRAPH|BUNDLE WIDTH HEIGHT OUT.ppm [SEED]".into());
    };
    let (width, height): (i64, i64) = (width.parse()?, height.parse()?);
    let seed: u64 = seed.first().map_or(Ok(0), |text| text.parse())?;
    let canvas = Source::open(Path::new(source), 0)?.canvas(width, height, seed, 0.0)?;
    let half = |y0, y1| canvas.read(0, Region { y0, x0: 0, y1, x1: width }, &mut |_| true);
    let middle = (height + 1) / 2;
    let (upper, lower) = thread::scope(|scope| {
        let lower = scope.spawn(|| if middle < height { half(middle, height) } else { Ok(Vec::new()) });
        (half(0, middle), lower.join().expect("the thread has panicked"))
    });
    let mut file = format!("P6\n{width} {height}\n255\n").into_bytes();
    file.extend(upper?);
    file.extend(lower?);
    fs::write(out, file)?;
    Ok(())
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let Err(error) = render(&arguments) {
        eprintln!("error: {error}");
        process::exit(1);
    }
}
