//! PackML (ISA-TR88.00.02): states and modes by table, in both numberings. Pure.
