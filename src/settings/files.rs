//! Files that the settings name and the stages read: beside the settings file, unless their whole path is written.

use super::effective::digest_with;
use super::plant::{Plant, UplinkProtocol};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// So much of a file counts for the digest: more than a template may have.
const MAX_BYTES: u64 = 128 << 10;

impl Plant {
    /// The settings file stands in `folder`: files that it names without their whole path are looked for there. Other
    /// templates are other settings: what they hold goes into the digest.
    pub fn find_files_in(&mut self, folder: &Path) {
        let mut found = Vec::new();
        for uplink in &mut self.uplinks {
            if let UplinkProtocol::Http(http) = &mut uplink.protocol {
                for request in http.requests.values_mut() {
                    request.body = folder.join(&request.body);
                    found.push(request.body.clone());
                }
            }
        }
        if !found.is_empty() {
            self.digest = digest_with(&self.digest, found.iter().map(content));
        }
    }
}

/// Empty where it cannot be read, which those who need it tell.
fn content(file: &PathBuf) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
    read.map(|_| bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::settings::load;

    #[test]
    fn another_template_makes_other_settings() {
        let folder = tempfile::tempdir().unwrap();
        let digest = |uplink: &str, body: &str| {
            std::fs::write(folder.path().join("b.json"), body).unwrap();
            let text = format!(
                "gateway: {{ id: g, path: [A] }}\nmachine: M\nuplinks: {{ mes: {{ http: {{ {uplink} }} }} }}\n"
            );
            let mut plant = load(&text).unwrap().plant;
            let before = plant.digest.clone();
            plant.find_files_in(folder.path());
            (before, plant.digest)
        };
        let own = "requests: { \"*\": { post: \"http://h/e\", body: b.json } }";
        let (before, one) = digest(own, "{{ id }}");
        assert_ne!(before, one);
        assert_eq!(digest(own, "{{ id }}"), (before.clone(), one.clone()));
        assert_ne!(digest(own, "[{{ id }}]").1, one);
        assert_eq!(one.len(), before.len());
        let (before, after) = digest("url: \"http://h/e\"", "x");
        assert_eq!(before, after, "without files it stays what it was");
    }
}
