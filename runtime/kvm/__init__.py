"""The hardware accelerator: virtual machines on /dev/kvm, through ioctl, mmap and ctypes alone."""
