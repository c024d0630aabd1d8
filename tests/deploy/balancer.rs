//! A real nginx with the locations of `deploy/nginx/`, before the front doors of a yard.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use windlass_servers::free_port;

use crate::yard::repository;

pub struct Balancer {
    nginx: Child,
    log: PathBuf,
    pub url: String,
}

/// The files of `deploy/nginx/` in `folder`, where they find each other.
pub fn place_files(folder: &Path) -> String {
    let windlass = folder.join("windlass");
    fs::create_dir_all(&windlass).unwrap();
    for entry in fs::read_dir(repository().join("deploy/nginx")).unwrap() {
        let file = entry.unwrap().path();
        let text = fs::read_to_string(&file).unwrap();
        let text = text.replace("/etc/nginx/windlass", windlass.to_str().unwrap());
        fs::write(windlass.join(file.file_name().unwrap()), text).unwrap();
    }
    windlass.display().to_string()
}

pub fn nginx() -> Command {
    // Debian keeps it off the path of ordinary users.
    let program = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
    Command::new(program)
}

impl Balancer {
    pub fn before(doors: &[u16], folder: &Path) -> Self {
        let (files, port) = (place_files(folder), free_port());
        let servers: String =
            doors.iter().map(|door| format!("server 127.0.0.1:{door} max_fails=0;\n")).collect();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {}/{name};\n", folder.display()))
            .concat();
        let conf = format!(
            "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.err warn;\n\
             events {{ worker_connections 2048; }}\n\
             http {{\ninclude {files}/http.conf;\naccess_log {folder}/nginx.log windlass;\n{temporary}\
             upstream windlass {{\n{servers}include {files}/upstream.conf;\n}}\n\
             server {{\nlisten 127.0.0.1:{port};\ninclude {files}/door.conf;\n}}\n}}\n",
            folder = folder.display()
        );
        let path = folder.join("nginx.conf");
        fs::write(&path, conf).unwrap();
        let errors = fs::File::create(folder.join("nginx.start")).unwrap();
        let nginx = nginx().arg("-c").arg(path).stdin(Stdio::null()).stderr(errors).spawn().unwrap();
        Self { nginx, log: folder.join("nginx.err"), url: format!("http://127.0.0.1:{port}") }
    }
}

impl Balancer {
    /// The first of what nginx has to complain about, beside the doors that were closed in their turn.
    pub fn errors(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines()
            .filter(|line| !line.contains("Connection refused"))
            .take(20)
            .map(|line| format!("{line}\n"))
            .collect()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}
