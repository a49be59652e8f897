-- Failed callees under callers that did not fail, by attribute, over everything.
SELECT callee.service AS service, callee.attributes['http.route'] AS route, count(*) AS hidden
FROM spans AS callee JOIN spans AS caller
  ON callee.trace_id = caller.trace_id AND callee.parent_span_id = caller.span_id
WHERE callee.status = 'error' AND caller.status <> 'error'
GROUP BY callee.service, callee.attributes['http.route'] ORDER BY hidden DESC, service, route LIMIT 20
