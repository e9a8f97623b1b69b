//! Event -> what travels on the wire. Pure: time comes in as an argument.
