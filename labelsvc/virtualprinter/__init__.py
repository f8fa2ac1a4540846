"""A thermal label printer made of software: a program apart, that shares no code with the rest of labelsvc.

It hides how such a printer treats what arrives on its raw port: a receive buffer that fills up and drains
on, a head that needs time for every label, paper that runs out within one, answers that may never come.  It
is judged by what lies in its tray: one file for each label that came out, holding the very bytes that made
it.

    speech.py      what hosts say, whatever the language, and what the printer knows of itself; pure
    zpl.py, escpos.py, tspl.py
                   what of a byte stream is understood, and the answers; pure
    faults.py      what can be wrong with the printer, and how it is told so; pure
    tray.py        the paper that came out, and the odometer: files
    printer.py     buffer, print queue, head, status answers
    port.py        a wire: the raw TCP port
    usb.py         a wire: a USB device, over a Unix socket
    serialline.py  a wire: a pseudo-terminal
    control.py     the HTTP port for tests and people: faults, state, labels

Start it with ``python -m labelsvc.virtualprinter --tray DIR``.
"""
