"""An x86-64 Linux host: host_x86_64.s assembled, where its parts are, and the numbers of the host's system calls."""

from __future__ import annotations

from runtime.linux.abi.model import numbered

CODE = bytes.fromhex(
    """
    4889f84889f74889d64889ca4d89c24d89c84c8b4c2408833de20f00000075030f05c348c7c000feffffc30f1f4400004889f84889f74889
    d64889ca4d89c24d89c84c8b4c24080f05c3660f1f4400008b460885c07e0d89f9b8b0090000480fa3c87252c705920f000001000000488d
    3dcb0f0000b910000000f348a548c78228010000ffffffff488b82a8000000488d0d81ffffff4839c8721a488d0d80ffffff4839c8730e48
    8d0d75ffffff48898aa8000000c3488d350310000031d241ba08000000b80d0000000f05c30f1f00b80f0000000f05
    """
)
#: offsets of its functions
CALL, PLAIN, HANDLER, RESTORER = 0x00, 0x30, 0x50, 0xD0
#: offsets of its variables, which are on a page of their own
CODE_BYTES = 4096
PENDING, INFORMATION = 4096, 4160

#: arch/x86/entry/syscalls/syscall_64.tbl: the calls made by number
NUMBERS = numbered("""
    0 read write
    9 mmap
    13 rt_sigaction rt_sigprocmask
    17 pread64 pwrite64 readv writev
    25 mremap
    36 getitimer
    38 setitimer
    40 sendfile socket connect
    44 sendto recvfrom sendmsg recvmsg shutdown bind listen getsockname getpeername socketpair setsockopt getsockopt
    61 wait4 kill
    72 fcntl flock
    127 rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend
    200 tkill
    202 futex
    222 timer_create timer_settime timer_gettime timer_getoverrun timer_delete
    230 clock_nanosleep
    233 epoll_ctl tgkill
    247 waitid
    257 openat
    270 pselect6 ppoll
    281 epoll_pwait
    283 timerfd_create
    286 timerfd_settime timerfd_gettime accept4 signalfd4 eventfd2 epoll_create1
    297 rt_tgsigqueueinfo
""")
