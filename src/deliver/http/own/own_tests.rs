//! Requests of the server's own form.
