"""The list of error codes (A3): what each means, and what a caller can do; hides nothing, docs/errors.md is written from it.

Codes are stable: one that stands here keeps its meaning; new ones may come. A ``*`` stands for a number of the network's own.
"""

from __future__ import annotations

#: Code -> what it means, what to do about it.
CODES: dict[str, tuple[str, str]] = {
    # Of every call.
    "invalid": (
        "Fields are missing or wrong; `errors` names each with its reason.",
        "Correct the fields that are named.",
    ),
    "not_found": ("There is no such thing in this store.", "Check the id or name."),
    "conflict": (
        "The request clashes with another that came at the same time.",
        "Read anew, then ask again.",
    ),
    "forbidden": (
        "The caller is known but lacks the right that `detail` names.",
        "Ask an owner of the store.",
    ),
    "unauthenticated": (
        "No valid API token and no signed-in page.",
        "Send `Authorization: Bearer <API token>`, or sign in again.",
    ),
    "internal": (
        "A fault of the service; its log says more.",
        "Ask again with the same key; tell the operator.",
    ),
    "http": ("HTTP itself refuses the request; see the status.", "Correct the request as the status says."),
    "request.malformed": ("The request can't be read.", "Send JSON in UTF-8, complete."),
    "route.unknown": ("There is no such address.", "Compare with the OpenAPI document."),
    "method.refused": ("The address doesn't know the method.", "Use a method of the header `Allow`."),
    "body.too_large": ("The body is larger than the address takes.", "Split it."),
    "media_type.refused": (
        "The body's Content-Type isn't taken here.",
        "Send `application/json`; files as a form.",
    ),
    "host.refused": (
        "The request names a host that isn't ours.",
        "Use the configured name, or add it to `allowed_hosts`.",
    ),
    "origin.refused": (
        "The call comes from a page of another site.",
        "Call with an API token, not from a page.",
    ),
    "csrf.refused": (
        "A form doesn't come from a page of this session.",
        "Reload the page and send it again.",
    ),
    "sign_in.invalid": ("The sign-in link or token is unknown, used or expired.", "Make a new sign-in link."),
    "key.reused": (
        "The idempotency key was used before with other content.",
        "Take a new key for a new intent.",
    ),
    # The service itself.
    "service.stopping": ("The service is being stopped.", "Ask again with the same key."),
    "database.busy": ("Too much is being written at once.", "Ask again with the same key."),
    "database.dangling": (
        "Rows refer to rows that aren't there: the database was changed by other means.",
        "Restore the database from a backup.",
    ),
    "database.disk_full": (
        "The disk is full; nothing was changed.",
        "The operator makes room; then ask again.",
    ),
    "database.newer": (
        "The database is a later version's.",
        "Start that version, or restore a backup.",
    ),
    "database.unavailable": (
        "The database doesn't answer.",
        "Ask again with the same key; tell the operator.",
    ),
    "settings.invalid": ("Settings are wrong; `errors` names them.", "Correct the file or the environment."),
    "backup.exists": ("There is a file of this name.", "Name another file."),
    "backup.postgresql": ("A PostgreSQL database isn't backed up by this command.", "Use `pg_dump`."),
    "file.exists": ("There is a file of this name.", "Name another file."),
    # Stores and users.
    "store.exists": ("There is a store of this name.", "Choose another name."),
    "store.not_merchant": ("Only a merchant can do this.", "Use a merchant's account."),
    "user.exists": ("The store has a user of this name.", "Choose another name."),
    # Sealing keys.
    "key.current": ("The current sealing key can't be retired.", "Rotate to another key first."),
    "key.exposed": ("Others can read the file of sealing keys.", "Make its mode 0600."),
    "key.in_use": ("Values are sealed by this key still.", "Reseal first, then retire it."),
    "key.mismatch": ("A sealed value was changed or moved.", "Restore the database from a backup."),
    "key.missing": ("No key at hand opens a sealed value.", "Bring back the file of sealing keys."),
    "key.read_only": ("The file of sealing keys can't be written here.", "Change it where it is kept."),
    "key.too_fresh": ("The key was current a moment ago.", "Wait a little, then retire it."),
    "key.unknown": ("There is no such sealing key.", "List the keys."),
    # Sender addresses and divisions.
    "address.changed": ("The sender address was changed at the same time.", "Read it, then apply again."),
    "address.default": ("Another address was made the default at the same time.", "Look, then choose again."),
    "address.in_use": ("An e-waybill service rests on the address (E7).", "Close or withdraw it first."),
    "address.limit": ("The store has 100 sender addresses (E4).", "Delete one that isn't used."),
    "address.not_found": ("The store has no such sender address.", "List the addresses."),
    "address.occupied": (
        "The address has a network point already, open, suspended or under review (E5).",
        "Use another address, or close that one.",
    ),
    "division.unknown": ("There is no such province, city, district.", "Take one that the reason suggests."),
    "division.divided": (
        "The district was divided since.",
        "Take one of the successors that the reason names.",
    ),
    "division.not_covered": (
        "Hong Kong, Macau and Taiwan aren't covered.",
        "Use an address on the mainland.",
    ),
    # Opening the service.
    "subscription.busy": ("The network is being asked about the application.", "Ask again in some seconds."),
    "subscription.not_found": ("The store has no such subscription.", "List the subscriptions."),
    "subscription.not_open": (
        "The carrier's e-waybill service isn't open.",
        "Open it, or name another carrier.",
    ),
    "subscription.state": (
        "The application's state doesn't allow this (E1).",
        "Read it; its state says what can be done.",
    ),
    # The carrier network.
    "network.*": (
        "The network refuses for a reason that it numbers; the number is also `network_code`.",
        "Look the number up in the platform's list.",
    ),
    "network.already_issued": (
        "The network has given a number for the parcel before.",
        "Nothing: the service looks the number up.",
    ),
    "network.busy": (
        "The network limits requests, or has too much to do; nothing happened.",
        "Ask again with the same key.",
    ),
    "network.no_print_data": ("The network's answer lacks the label's data.", "Ask again with the same key."),
    "network.not_connected": (
        "The store isn't connected to the network.",
        "Connect it with a token or a code.",
    ),
    "network.number_taken": (
        "The network gave a number that another parcel has; none is recorded.",
        "Issue with another package id; tell the carrier.",
    ),
    "network.resting": (
        "The network failed several times and isn't asked for a while; nothing happened.",
        "Ask again after `retry_after_s` with the same key.",
    ),
    "network.segment_used_up": (
        "The carrier has no numbers left to give.",
        "Tell the carrier; use another meanwhile.",
    ),
    "network.silent": (
        "The network gave no usable answer; whether it acted isn't known yet.",
        "Ask again with the same key: the same parcel gets the same number.",
    ),
    "network.token": ("The network doesn't accept the store's access.", "Connect the store again."),
    "network.unreachable": (
        "The network can't be reached; nothing happened.",
        "Ask again with the same key.",
    ),
    "balance.empty": ("The network point has no numbers left (W4).", "Buy numbers; offline: import a file."),
    "sender.mismatch": (
        "The network knows no open service with exactly this origin.",
        "Look at the subscription; if it was changed there, close and open it anew.",
    ),
    # Orders and bindings.
    "order.assigned": ("The order is assigned to a factory.", "Let the factory issue its waybill."),
    "order.differs": (
        "There is an order of this number with other content (D3).",
        "Send it with another number.",
    ),
    "order.erased": ("The order's personal data were erased.", "Nothing; its record stays."),
    "order.exists": (
        "An order of this number is being created.",
        "Ask again: the same content is the same order.",
    ),
    "order.has_waybill": ("The order has a waybill.", "Cancel the waybill first."),
    "order.held": ("The order is held.", "Release it."),
    "order.masked": (
        "A merchant's parties stay masked for a factory (D7).",
        "Nothing; only the label shows them.",
    ),
    "order.not_found": ("The store has no such order.", "Check the id."),
    "binding.exists": ("The two are bound already, or it is proposed.", "Look at the bindings."),
    "binding.none": (
        "There is no accepted binding with the factory.",
        "Propose one, and let the factory accept.",
    ),
    "binding.not_found": ("The store has no such binding.", "List the bindings."),
    "binding.state": ("The binding was answered already, or has ended.", "Look at the bindings."),
    "factory.unknown": ("There is no factory with this store id (D2).", "Ask the factory for its store id."),
    # Waybills.
    "origin.mismatch": (
        "The origin isn't where the service was opened (E8); `opened` and `requested` say both.",
        "Leave the origin out, or use the subscription of that place.",
    ),
    "parcel.differs": (
        "The parcel has a number for another recipient, sender or service (W2).",
        "Update or cancel that waybill, or use another package id.",
    ),
    "parcel.several_points": (
        "The orders have a number from another network point.",
        "Cancel that one first.",
    ),
    "number.check_digit": ("The check digit is wrong (W9).", "Read the number again."),
    "number.format": ("It isn't a number of this carrier (W9).", "Check number and carrier."),
    "numbers.file": ("The file of numbers is wrong; `errors` names its lines.", "Correct the file."),
    "update.empty": ("The update names nothing to change.", "Send recipient, items or weight."),
    "waybill.already_printed": ("The label was printed, or waits for it (W8).", "Reprint it with a reason."),
    "waybill.cancel_limit": (
        "Too many numbers were cancelled at this point (W5).",
        "Nothing: it is tried again by itself.",
    ),
    "waybill.cancel_refused": (
        "The network didn't cancel the number.",
        "Nothing: it is tried again by itself.",
    ),
    "waybill.erased": ("The waybill's personal data were erased.", "Nothing; its record stays."),
    "waybill.handed_over": ("The parcel left with the carrier (W5, W6).", "Nothing can be changed any more."),
    "waybill.held": ("The waybill is held (P10).", "Release it."),
    "waybill.label_void": (
        "An update made the label void and the new one isn't printed (W6).",
        "Print the new label.",
    ),
    "waybill.masked": (
        "A merchant's parties stay masked for a factory (D7).",
        "Nothing; only the label shows them.",
    ),
    "waybill.not_found": ("The store has no such waybill.", "Check the id or number."),
    "waybill.not_issued": ("The waybill has no number yet, or none any more.", "Issue it with the same key."),
    "waybill.not_live": ("The waybill has no live number to update.", "Look at its state."),
    "waybill.not_printed": ("No label of the waybill came out yet.", "Print it; no reprint is needed."),
    "waybill.not_updated": ("The network didn't take the update.", "Ask again with the same key."),
    "waybill.picked_up": ("The carrier has picked the parcel up (W5).", "Nothing can be changed any more."),
    "waybill.unknown_number": ("The network doesn't know the number.", "Reconcile."),
    "waybill.update_open": ("An update of the waybill is on its way (W6).", "Ask again in some seconds."),
    "waybill.void": (
        "The number is given back, or being so: its parcel must not leave.",
        "Take the parcel out.",
    ),
    "waybill.void_pending": (
        "The parcel's waybill is being cancelled (W5).",
        "Confirm that its label is destroyed.",
    ),
    "waybill.was_cancelled": ("The number was cancelled at the network.", "Issue with another package id."),
    "label.not_void": ("No label of this revision was made void (W6).", "List the void labels."),
    # Batches and files.
    "batch.expired": (
        "The batch wasn't worked off before its parcels' personal data were erased.",
        "File the parcel anew.",
    ),
    "batch.invalid": (
        "Parcels of the batch are wrong; `errors` names them.",
        "Correct them and send all again.",
    ),
    "batch.not_found": ("The store has no such batch.", "List the batches."),
    "batch.rows": (
        "Rows of the file are wrong; `errors` names them (D19).",
        "Correct the file; a dry run tells beforehand.",
    ),
    "batch.size": ("A batch has 1 to 500 parcels.", "Split it."),
    "file.columns": ("Columns are missing; `detail` names them.", "Take the template file."),
    "file.size": ("The file is too large, or has too many rows.", "Split it."),
    "file.unreadable": (
        "The file is no CSV, TXT or XLSX that can be read.",
        "Save it anew as CSV in UTF-8 or as XLSX.",
    ),
    # Printers.
    "printer.built_in": ("The built-in printer stays as it is.", "Add a printer of your own."),
    "printer.busy": ("The printer has open labels.", "Let them come out, or cancel them."),
    "group.empty": ("The group has no printer.", "Give it one, or take another printer."),
    "printer.group": ("A group has no device of its own.", "Change its printers instead."),
    "printer.exists": ("The store has a printer, group or alias of this name.", "Choose another name."),
    "printer.invalid": ("The printer is wrong; `errors` names the fields.", "Correct them."),
    "printer.not_found": ("The store has no such printer.", "List the printers."),
    "printer.paused": ("The printer is paused.", "Resume it."),
    "printer.unreachable": ("The printer doesn't answer.", "Look at its power, cable and address."),
    "profile.invalid": ("A printer profile can't be read; `detail` says where.", "Correct its file."),
    "profile.not_found": ("There is no such printer profile.", "List the profiles."),
    "uri.invalid": (
        "The printer's address isn't one that is spoken here.",
        "Use `tcp://HOST:PORT`, `usb://VID:PID/SERIAL`, `serial:///dev/ttyUSB0?baud=9600`, `cups://QUEUE` or `file:///DIR`.",
    ),
    "language.unknown": (
        "The profile names a printer language that isn't spoken here.",
        "Correct the profile.",
    ),
    "reply.garbage": ("The printer's answer can't be read.", "Check that it speaks ZPL."),
    "reply.unknown": ("The printer lacks the counter that the profile names.", "Correct the profile."),
    # Print jobs and labels.
    "job.not_found": ("The store has no such print job.", "Check the id."),
    "job.state": ("No label of the job is in a state that allows this.", "Look at the job's labels."),
    "print.invalid": ("The print request is wrong; `errors` names the fields.", "Correct them."),
    "reprint.invalid": (
        "The reprint is wrong; `errors` names the fields.",
        "Give a reason, and a printer if it is another.",
    ),
    "label.blocked": (
        "The label is blocked, because its order is held or its waybill void (P10).",
        "Release it, or leave it.",
    ),
    "label.erased": ("The label's personal data were erased.", "Nothing; its record stays."),
    "label.not_found": ("The store has no such label.", "Check the id."),
    "label.not_printed": (
        "The label hasn't come out, so there is nothing to repeat.",
        "Let it come out first.",
    ),
    "label.second_copy": (
        "The waybill number is, or may be, on another label (P15); `reason` says where.",
        "Answer for the label: `POST /labels/{id}/confirm`.",
    ),
    "label.step": (
        "The label's state changed meanwhile, or doesn't allow this.",
        "Read it, then decide again.",
    ),
    "label.uncertain": ("Whether the label came out isn't known (P7).", "Answer first whether it did."),
    "pdf.opened": ("The label was opened before (P6).", "Open it again as a reprint, with a reason."),
    "pdf.other_printer": ("The label is for another printer.", "Open it on the built-in printer."),
    # Templates and what doesn't fit on a label.
    "template.invalid": ("The template can't be used; `line` and `element` say where.", "Correct it."),
    "template.script": (
        "A script of the template is wrong, or fails with these data; `line` says where.",
        "Correct the script, or the data that it doesn't expect.",
    ),
    "template.script_limit": (
        "A script of the template takes too much time or memory, or makes too long a label.",
        "Make it end sooner.",
    ),
    "script.unavailable": (
        "Scripts of templates can't run here: their engine isn't installed.",
        "Install labelsvc whole, or use `<%= _data.name %>` only.",
    ),
    "template.too_deep": ("The template is nested too deeply.", "Flatten it."),
    "template.too_long": ("The template is too long or has too many elements.", "Shorten it."),
    "template.unknown": ("There is no such template.", "List the templates."),
    "label.does_not_fit": (
        "A text doesn't fit its box; `missing_mm` says by how much.",
        "Shorten the text or widen the box.",
    ),
    "label.off_page": ("A barcode or image leaves the page.", "Move it."),
    "label.row_too_high": (
        "A table's row is higher than a page; `missing_mm` says by how much.",
        "Shorten its text or give it more room.",
    ),
    "label.splits": (
        "The label takes several pages, or too many; `pages` says how many.",
        "Print it as a document, or shorten its table.",
    ),
    "label.too_long": ("The label is longer than the printer takes.", "Choose another template or printer."),
    "label.too_wide": ("The label is wider than the printer's head.", "Choose another template or printer."),
    "barcode.check_digit": (
        "The barcode's check digit is wrong; `expected` is the right one.",
        "Correct the number.",
    ),
    "area.invalid": ("The rows of a custom area are wrong; `errors` names each.", "Correct them."),
    "area.too_large": (
        "A custom area is larger than the place that the template leaves it, `width_mm` × `height_mm`.",
        "Make it smaller.",
    ),
    "area.no_place": ("The template leaves no place for a custom area.", "Choose another template."),
    "barcode.data": ("The barcode's symbology can't hold these data.", "Correct the data."),
    "barcode.does_not_fit": (
        "The barcode has too little room; `missing_mm` says by how much.",
        "Give it more room.",
    ),
    "barcode.empty": ("A barcode that is required has no data.", "Send its data."),
    "barcode.option": (
        "A barcode's error correction, mode, size or primary message isn't one its type has.",
        "Correct the template.",
    ),
    "barcode.type": ("There is no such type of barcode.", "Use a type that docs/templates.md lists."),
    "font.format": ("The file isn't a TrueType font.", "Take a .ttf file with TrueType outlines."),
    "font.missing": ("A font file isn't installed.", "Install the package anew."),
    "font.name": (
        "A font in the printer has no name like `E:NOTO.TTF`.",
        "Name drive, one to eight letters or digits, and `.TTF`.",
    ),
    "font.unknown": ("There is no such font face.", "Use a face that is shipped."),
    "image.failed": ("An image that is required can't be read.", "Send a sound PNG, JPEG, GIF or BMP."),
    "image.source": (
        "An image's address may not be read from.",
        "Embed it as a PNG, JPEG, GIF or BMP data URL, or allow its directory or host.",
    ),
    "picture.encrypted": ("The PDF is encrypted with a password.", "Save it without."),
    "picture.pages": ("The document has too many pages.", "Split it."),
    "picture.size": ("The document has too many bytes or pixels.", "Make it smaller."),
    "picture.time": ("The document takes too long to draw.", "Save it simpler, or as a picture."),
    "picture.unreadable": (
        "The document is no PDF or picture that can be read.",
        "Send a sound PDF, PNG, JPEG, GIF, BMP, WebP or TIFF.",
    ),
    "page.none": ("There is no page to write.", "Send a document that has one."),
    "page.several": ("The language holds one page only.", "Take one page, or PDF."),
    "image.not_allowed": (
        "The template names a picture on a host, or in a folder, that the operator didn't allow.",
        "Embed the picture, or add the place to `image_hosts` or `image_folder`.",
    ),
    "image.too_large": ("The pictures that the template names weigh too much.", "Make them smaller."),
    "image.unavailable": ("A picture that the template names can't be had.", "See that its host serves it."),
    "page.not_found": ("The label has no page of this number.", "Ask for an earlier one."),
    "page.dpi": ("A page was composed for another resolution.", "Compose it for this printer."),
}


def is_listed(code: str) -> bool:
    """Whether a code stands in the list, by itself or as one of the network's numbers."""
    return code in CODES or (code.startswith("network.") and code[8:].isdigit())
