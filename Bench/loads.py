"""What is measured, and what must come out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    kind: str  # "relayed" or "delivered"
    name: str
    messages: int
    sessions: int
    octets: int
    speed: float  # floor: times as many messages a second as the other
    cpu: float = 0  # floor: this part of the other's CPU a message at most; 0: none
    numbered: bool = False  # each message to another mailbox


MAILBOXES = 10_000
FEW = 20  # mailboxes that a load with `numbered` false goes to, in turn



def address(number):
    """Of a mailbox, from 1; of the one that smtp-source puts numbers in front of, for ""."""
    return f"{number}box@boxes.example"


LOADS = [
    Load("relayed", "4 KB, 1 session", 1000, 1, 4096, speed=2),
    Load("relayed", "4 KB, 20 sessions", 6000, 20, 4096, speed=5, cpu=1 / 8),
    Load("relayed", "4 KB, 100 sessions", 6000, 100, 4096, speed=5),
    Load("relayed", "100 KB, 20 sessions", 1000, 20, 102400, speed=3),
    Load("delivered", "4 KB, 1 session", 600, 1, 4096, speed=3),
    Load("delivered", "4 KB, 20 sessions", 3000, 20, 4096, speed=9, cpu=1 / 12),
    Load("delivered", "4 KB, 100 sessions", 3000, 100, 4096, speed=9),
    Load("delivered", "4 KB, 20 s., 10,000 boxes", MAILBOXES, 20, 4096, speed=9, numbered=True),
    Load("delivered", "4 KB, 100 s., 10,000 boxes", MAILBOXES, 100, 4096, speed=9, numbered=True),
    Load("delivered", "100 KB, 20 sessions", 1000, 20, 102400, speed=4),
]
COUNTED = LOADS[1]  # whose system calls, syncs and allocations are counted

IDLE, IDLE_MEMORY = 10_000, 120_000_000  # connections, octets of memory at most
IDLE_OTHER = 300  # connections held open at Postfix, which has a process for each
