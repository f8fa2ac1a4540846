"""Printers, the queue and the wire: a job becomes pages, bytes and proof; nothing is printed twice, nothing is lost."""

from labelsvc.printing.driverlock import DriverLock
from labelsvc.printing.jobs import PrintJobs
from labelsvc.printing.model import (
    BROWSER_URI,
    Change,
    DocumentRequest,
    JobState,
    JobWarning,
    Label,
    LabelState,
    Lane,
    Printer,
    PrinterState,
    PrintJob,
    PrintRequest,
    Profile,
)
from labelsvc.printing.printers import Printers
from labelsvc.printing.profiles import Profiles
from labelsvc.printing.spooler import Spooler
from labelsvc.printing.wakeups import Wakeups

__all__ = [
    "BROWSER_URI",
    "Change",
    "DocumentRequest",
    "DriverLock",
    "JobState",
    "JobWarning",
    "Label",
    "LabelState",
    "Lane",
    "PrintJob",
    "PrintJobs",
    "PrintRequest",
    "Printer",
    "PrinterState",
    "Printers",
    "Profile",
    "Profiles",
    "Spooler",
    "Wakeups",
]
