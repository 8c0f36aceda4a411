"""The program of the evil image: ``STEP --attack=NAME``. What it tries inside its seal is told by its name.

An attack on what the seal protects ends with exit code 3 and the last line ``held: NAME``, or ``BREACH: ...`` where it
got through. One on what reads the run folder afterwards ends with exit code 0.
"""

from common import ATTACK
from resources import RESOURCES
from results import AFTER
from seal import SEAL, held

if ATTACK in SEAL:
    held(*SEAL[ATTACK])
(AFTER | RESOURCES)[ATTACK]()
