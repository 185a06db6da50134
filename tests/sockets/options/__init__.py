"""Every option of Linux's on our sockets, beside the answers measured on Linux 6.18."""
