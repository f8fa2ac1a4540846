"""Printers, the queue and the wire: a job becomes pages, bytes and proof; nothing is printed twice, nothing is lost."""

from labelsvc.printing.areas import AreaRow, CustomAreas, Place
from labelsvc.printing.discovery import Discovery
from labelsvc.printing.driverlock import DriverLock
from labelsvc.printing.jobs import PrintJobs
from labelsvc.printing.leases import host_name
from labelsvc.printing.model import (
    BROWSER_URI,
    DOWNLOADED,
    MAX_EXPIRE_S,
    MAX_PAPER_MM,
    Change,
    CustomArea,
    DocumentGrade,
    DocumentRequest,
    JobState,
    JobWarning,
    Label,
    LabelState,
    Lane,
    Mode,
    NodeSeen,
    Picture,
    Printer,
    PrinterState,
    PrintJob,
    PrintRequest,
    Profile,
    Proposal,
)
from labelsvc.printing.printers import Printers
from labelsvc.printing.profiles import QUIRKS, Profiles
from labelsvc.printing.reach import Reach, host_of, reach
from labelsvc.printing.sources import PictureSources
from labelsvc.printing.spooler import Spooler
from labelsvc.printing.wakeups import Wakeups

__all__ = [
    "BROWSER_URI",
    "DOWNLOADED",
    "MAX_EXPIRE_S",
    "MAX_PAPER_MM",
    "QUIRKS",
    "AreaRow",
    "Change",
    "CustomArea",
    "CustomAreas",
    "Discovery",
    "DocumentGrade",
    "DocumentRequest",
    "DriverLock",
    "JobState",
    "JobWarning",
    "Label",
    "LabelState",
    "Lane",
    "Mode",
    "NodeSeen",
    "Picture",
    "PictureSources",
    "Place",
    "PrintJob",
    "PrintJobs",
    "PrintRequest",
    "Printer",
    "PrinterState",
    "Printers",
    "Profile",
    "Profiles",
    "Proposal",
    "Reach",
    "Spooler",
    "Wakeups",
    "host_name",
    "host_of",
    "reach",
]
