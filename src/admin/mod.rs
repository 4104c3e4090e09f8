//! Administrator tasks, one file each; no printing. Served on the control socket.
