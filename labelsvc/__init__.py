"""labelsvc: e-waybills and thermal labels, from a sender address to paper, with no label printed twice and none lost.

The map of the house; imports run downwards only::

    __main__ ── cli                the operator's door
              daemon               the roof: assembles the rooms, starts, stops
        web                        HTTP API and pages
        dropship                   merchants, factories, orders            代发
        waybills ── carriers/      sender addresses, subscriptions, e-waybills  电子面单
        printing ── transports/    printers, journal, spooler              打印
        languages                  a Page becomes bytes: ZPL, PDF, PNG
        labels                     template + data -> Page                 模板
    security  db  log  settings  errors      the ground

``mockcarrier`` and ``virtualprinter`` are programs apart that share no code with the rest.
"""

__version__ = "0.1.0"
