//! Asks pkg-config where libourgan is; PKG_CONFIG_PATH says where its own file lies.
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
    let asked = Command::new("pkg-config").args(["--libs", "ourgan"]).output().expect("pkg-config is needed");
    assert!(asked.status.success(), "pkg-config does not find ourgan: {}", String::from_utf8_lossy(&asked.stderr));
    for word in String::from_utf8_lossy(&asked.stdout).split_whitespace() {
        if let Some(folder) = word.strip_prefix("-L") {
            println!("cargo:rustc-link-search=native={folder}");
            println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
        } else if let Some(name) = word.strip_prefix("-l") {
            println!("cargo:rustc-link-lib=dylib={name}");
        }
    }
}
