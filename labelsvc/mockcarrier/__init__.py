"""A carrier network to issue waybills from when no real one is at hand: a program apart that shares no code
with labelsvc.

Hides everything behind one HTTP endpoint that speaks the real platform's wire, and one SQLite file that is
its own.

    python -m labelsvc.mockcarrier --books FILE [--port 0] [--host 127.0.0.1] [--client-id ID]
        [--client-secret SECRET] [--repeat same|new|exists] [--latency-ms N] [--opening-balance N]
        [--review at_once|delay|by_hand] [--review-delay-ms N] [--tokens open|strict] [--token-lifetime-s N]
        [--rate-per-s N] [--script FILE]
    mockcarrier listening on http://127.0.0.1:PORT/api/router        on standard output, once it does

Calls: POST /api/router or /api/router/, HTTP 200, one response key for each type. Parameters come as a JSON
object, as a form, or the common ones in the query and the others in a form. `timestamp` is Unix seconds or
milliseconds, within 10 minutes. `sign` may cover empty values or leave them out. Connections stay open.

The shop stands in `access_token` (or `session`). With `--tokens open` any text is a shop of its own; tokens
that pdd.pop.auth.token.create made are their owner's, and `strict` takes no others. EXPIRED, and a token past
its time: 10019. No token: 20032; pdd.time.get, pdd.pop.auth.token.*, pdd.logistics.companies.get and
pdd.logistics.address.get need none. "{...}" after a name: an object sent as a JSON string. An answer also holds
`request_id`. Required: *. The calls about orders, shipping and factories are listed in trade.py.

    pdd.waybill.get -> pdd_waybill_get_response
        param_waybill_cloud_print_apply_new_request* {wp_code*, need_encrypt (must be false), sender* PARTY,
          trade_order_info_dtos* 1-10 [{object_id* (unique in the batch), user_id*, template_url*,
            logistics_services (JSON string {"product_type": {"value": CODE}}; default: the carrier's first
            product), order_info* {order_channels_type*, trade_order_list* 1-100 []},
            package_info* {id, items* 1-100 [{name*, count*}], weight, volume, total_packages_count, ...},
            recipient* PARTY}]}
        PARTY {name* 40, mobile 20, phone 20 (one of the two), address* {province* 20, city* 20, district* 20,
          town 30, detail* 256, country 30}}, the numbers being the most characters allowed
        -> modules[] {object_id, waybill_code, parent_waybill_code, print_data}; a batch is given whole or not
          at all. With total_packages_count > 1 the parent is one further number, the same for all packages
          of these orders and this count, and costs nothing; else it is null
        print_data: JSON text {templateURL, data {recipient and sender {name, mobile, phone, address
          {province, city, district, town, detail}}, routingInfo {bigShotName, bigShotCode, threeSegmentCode,
          consolidation {name, code}, originBranchCode, originBranchName, endBranchCode, endBranchName},
          waybillCode, wpCode, shippingOption {code, title}}}
    pdd.waybill.update -> pdd_waybill_update_response
        param_waybill_cloud_print_update_request* {waybill_code*, wp_code*, object_id, template_url,
          package_info {items, weight, volume}, recipient PARTY, sender {name*, mobile, phone, address}}
        -> waybill_code, print_data; what is left out stays; the sender's address may be repeated but not
          changed; until it is picked up; again is harmless
    pdd.waybill.cancel -> pdd_waybill_cancel_response
        waybill_code*, wp_code* -> cancel_result: true, also the second time
    pdd.waybill.query.by.waybillcode -> pdd_waybill_query_by_waybillcode_response
        param_list* 1-10 [{waybill_code*, wp_code*, object_id}]
        -> modules[] {waybill_cloud_print_response {object_id, waybill_code, print_data}}; a cancelled number
          is an error
    pdd.waybill.search -> pdd_waybill_search_response
        wp_code (default all) -> waybill_apply_subscription_cols[] {wp_code, wp_type, branch_account_cols[]
          {branch_code, branch_name, quantity, allocated_quantity, cancel_quantity, recycled_quantity,
          shipp_address_cols[] {province, city, district, town, detail, country}, service_info_cols[],
          vas_account_cols[]}}; only what is open, nothing that is under review or suspended. A cancelled number
          is in cancel_quantity and back in quantity; recycled_quantity counts those that a carrier takes back
          for want of use, which this network never does: 0
    pdd.logistics.ordertrace.get -> logistics_ordertrace_get_resposne (so spelled)
        company_code* (a wp_code), mail_no* -> trace_list[] {action: GOT|TRANSIT|SIGN, desc, time, status_time,
          status_desc, node_description}, oldest first, times "2026-11-24 08:00:00" of China
    pdd.time.get -> time_get_response
        -> time, of China
    pdd.pop.auth.token.create -> pop_auth_token_create_response
        code* "shop:NAME" -> access_token, expires_at, expires_in, owner_id, owner_name, refresh_token,
          refresh_token_expires_at, refresh_token_expires_in, scope[], r1_, r2_, w1_, w2_expires_at and
          _expires_in (seconds)
    pdd.pop.auth.token.refresh -> pop_auth_token_refresh_response
        refresh_token* -> the same, of the same shop; the tokens before stay good until their time
    mock.carriers -> mock_carriers_response
        carriers[] {wp_code, wp_name, wp_type: 1 direct-operated, 2 franchise}
    mock.network.points -> mock_network_points_response
        wp_code*, province*, city*, district* -> points[] {branch_code, branch_name, wp_code, wp_type,
        wp_name, phone}; empty for YUNDA in Tibet (西藏) and where there is no such county, nowhere else
    mock.subscription.apply -> mock_subscription_apply_response
        wp_code*, branch_code* (of a point that covers the address), address* {as in PARTY}, contact* {name*,
        phone*}, settlement_account (* if direct-operated), agreement_version* -> application_id, state:
        under_review|open|rejected|suspended|closed, reason; the same again is the same application in its
        present state, unless that is rejected or closed. An address has one point of a carrier at a time.
    mock.subscription.query -> mock_subscription_query_response
        application_id* -> application_id, state, reason
    mock.subscription.close -> mock_subscription_close_response
        application_id* -> application_id, state: "closed", also the second time; withdraws what is under
        review
    mock.waybill.find -> mock_waybill_find_response
        orders* [] (all orders of the parcel, in any order) or object_id*; package_id (left out: any package;
        empty text: the package without id) -> waybills[] {waybill_code, wp_code, state:
        live|picked_up|in_transit|signed|cancelled, object_id, trade_order_list, package_id,
        parent_waybill_code, print_data, issued_at}, oldest first; empty if there is none
    mock.waybill.pick_up -> mock_waybill_pick_up_response
        waybill_code*, wp_code* -> state: "picked_up": the courier has it
    mock.waybill.trace -> mock_waybill_trace_response
        waybill_code*, wp_code*, action*: GOT|TRANSIT|SIGN -> state it is in then; a step back changes nothing
    mock.account.recharge -> mock_account_recharge_response
        wp_code*, branch_code*, quantity* -> quantity (the new balance)

A parcel is a shop, the set of its orders and its package id. Asked for again while its number lives (mode
`same`): the same number if carrier, sender and recipient are the same; another carrier or sender address is
the error of several points, another recipient or sender name is refused. Mode `new`: a further number. Mode
`exists`: refused. After a cancellation: a new number.

Errors: {"error_response": {error_code, error_msg, sub_code, sub_msg, request_id}}, HTTP 200, sub_code the
number as text. 10000 unreadable, 10001 common parameter, 10016 client_id, 10017 type, 10019 and 20032 token,
20004 sign, 21001 wrong field, 21002 missing field, 52004 body over 4 MiB: sub_msg is "field: reason".
50002, business, sub_msg one of
    e-waybill subscription does not exist (also: "...: it is under review", "...: the carrier suspended it")
    sender address matches no e-waybill service
    one trade order cannot have numbers from several network points
    waybill exists already for this parcel
    not enough waybill numbers left at the network point
    the parcel's waybill has another sender: cancel it first
    the parcel's waybill has another recipient: cancel it first
    the carrier's number segment is used up
    waybill does not exist
    waybill was cancelled
    waybill was picked up and can no longer be cancelled
    waybill was picked up and can no longer be changed
    waybill was given to a factory and can't be changed
    sender.address: can't be changed
    cancellations over the limit of 20 % of the numbers issued
    "field: reason" for applications, recharges and the fault wrong_item

Numbers lie in a synthetic segment of each public format, four zeros right after the prefix: STO 770000 + 9
digits, YTO YT0000 + 9, ZTO 730000 + 8, YUNDA 30000 + 10, JTSD JT0000 + 9, SF SF0000 + 9, EMS 90000 + 8, JD
JDVA0000 + 7, DBKD DPK0000 + 8. They count up and are never given twice from one books file.

Side doors, for Host names (and origins of pages) of this machine only:
    GET /health            {"status": "ok"}
    GET /log?after=SEQ     {"entries": [{seq, at, type, shop, digest, object_ids[], orders[], package_ids[],
                           numbers[], parcels[] {package_id, object_id, digest}, code, outcome_at,
                           answer_dropped, fault, replay_of}]}: written before the effect with code null; the
                           outcome is committed with the effect (0 good, else the error code; for HTTP 500
                           50000, 502 52001, 503 52103). shop and digests are keyed hashes; equal digests are
                           equal business parameters, for a parcel with carrier and sender, whatever batch it
                           came in. fault: what went wrong on request; replay_of: the seq of the request that
                           the fault `twice` replayed. No personal data.
    GET /books             {"waybills": [{number, wp_code, state, orders[], package_id, object_id, shop,
                           branch_code, parent, issued_at}], "accounts": [{shop, wp_code, branch_code,
                           branch_name, quantity, allocated, cancelled}], "subscriptions": [{application_id,
                           shop, wp_code, branch_code, state}]}
    GET, POST /review      the clerk's page; {application_id, decision: approve|reject|suspend|resume, reason}
                           as a form or JSON; 400 names what is wrong
    POST /control          JSON, any of: repeat, latency_ms (from arrival to answer; the effect comes after half
                           of it), drop_answers n (effect, then the connection closes), fail_next n (HTTP
                           502, no effect), error CODE (until 0), only TYPE (the last three hit this call type
                           alone; "" all), rate_per_s n (more gets a second: 52101; 0 none), review,
                           review_delay_ms, tokens, token_lifetime_s, script [RULE] (see faults.py; replaces
                           the script and its counts); answers what is now in force, each rule with how many
                           calls it has seen and hit; 400 {"error"} names what is wrong. --script FILE holds
                           the same, or a list of rules alone
"""

CLIENT_ID = "labelsvc-mock-client"
CLIENT_SECRET = "mock-secret-for-loopback-only"
