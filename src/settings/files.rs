//! Files that the settings name and the stages read: beside the settings file, unless their whole path is written.

use super::plant::{Plant, UplinkProtocol};
use std::path::Path;

impl Plant {
    /// The settings file stands in `folder`: files that it names without their whole path are looked for there.
    pub fn find_files_in(&mut self, folder: &Path) {
        for uplink in &mut self.uplinks {
            if let UplinkProtocol::Http(http) = &mut uplink.protocol {
                for request in http.requests.values_mut() {
                    request.body = folder.join(&request.body);
                }
            }
        }
    }
}
