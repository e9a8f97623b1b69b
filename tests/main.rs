//! What crosses stages, and what is true of the whole repository. One binary, because linking is the slow part.

mod deliver;
