"""An x86-64 Linux host: host_x86_64.s assembled, where its parts are, and the numbers of the host's system calls."""

from __future__ import annotations

from runtime.linux.abi.model import numbered

CODE = bytes.fromhex(
    """
    4889f84889f74889d64889ca4d89c24d89c84c8b4c24084c8b5c241041833b0075030f05c348c7c000feffffc30f1f004889f84889f74889
    d64889ca4d89c24d89c84c8b4c24080f05c3660f1f4400008b460885c07e1189f9b8b0090000480fa3c80f8299000000e864000000837e08
    b37430498d781041837808007407498db890000000b910000000f348a541ff400841c6000148c7c0bffbffff48098228010000488b82a800
    0000488d0d6bffffff4839c8721a488d0d67ffffff4839c8730e488d0d5cffffff48898aa8000000c3b8ba0000000f054c8d05a11100008b
    0d1b0f000083e901720f4139400474104981c040010000ebec4c8d0580110000c383ff070f8522010000488b4610482b05130f00000f8211
    010000483b050e0f00000f8304010000b901000000870dd10e000085c90f85f00000004c8b0d1e0f00004983f9400f83e00000004c8d0515
    0f00004b8904c848c1e80c480305d60e0000c600005756524d89c849c1e00c4c0305e20e0000488b7e104881e700f0ffff57be00100000ba
    0010000041ba07000000b8190000000f055f483d00f0ffff7721be00100000ba0300000041ba3240000049c7c0ffffffff4531c9b8090000
    000f055a5e5f483d00f0ffff775e48ff058b0e0000c705250e000000000000e8edfeffff41c6400201488b82a8000000482b05490e00000f
    8294feffff483b05440e00000f8387feffff48b9000000000001000048294a68488b42504803052d0e0000482908e966feffffc3488d35d5
    0d000031d241ba08000000b80d0000000f05c366662e0f1f8400000000006690b80f0000000f05
    """
)
#: offsets of its functions
CALL, PLAIN, HANDLER, RESTORER = 0x00, 0x30, 0x50, 0x250
#: offsets of its variables, which are on pages of their own
CODE_BYTES = 4096
COUNT, MAPPED, HANDLERS, ASIDE = 0x1000, 0x1028, 0x1040, 0x1058
LOST, LOST_PAGES, SLOTS = 0x1060, 0x1068, 0x1280
#: what is where in a slot
LOST_ONE, TID, NOTED, SIGINFO, SLOT_BYTES = 2, 4, 8, 16, 320
KICK_CODE = -77

#: arch/x86/entry/syscalls/syscall_64.tbl: the calls made by number
NUMBERS = numbered("""
    0 read write
    9 mmap
    13 rt_sigaction rt_sigprocmask
    17 pread64 pwrite64 readv writev
    25 mremap
    36 getitimer alarm setitimer
    40 sendfile socket connect
    44 sendto recvfrom sendmsg recvmsg shutdown bind listen getsockname getpeername socketpair setsockopt getsockopt
    61 wait4 kill
    72 fcntl flock
    125 capget capset rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend
    140 getpriority setpriority sched_setparam sched_getparam sched_setscheduler sched_getscheduler
    146 sched_get_priority_max sched_get_priority_min sched_rr_get_interval
    187 readahead
    200 tkill
    202 futex
    222 timer_create timer_settime timer_gettime timer_getoverrun timer_delete
    230 clock_nanosleep
    233 epoll_ctl tgkill
    247 waitid
    254 inotify_add_watch inotify_rm_watch
    257 openat
    265 linkat
    270 pselect6 ppoll
    275 splice tee sync_file_range
    281 epoll_pwait
    283 timerfd_create
    286 timerfd_settime timerfd_gettime accept4 signalfd4 eventfd2 epoll_create1
    294 inotify_init1
    297 rt_tgsigqueueinfo
    306 syncfs
    324 membarrier
    326 copy_file_range preadv2 pwritev2
""")
