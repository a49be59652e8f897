-- Who calls whom in a window of time.
SELECT caller.service AS caller, callee.service AS callee, count(*) AS calls
FROM spans AS callee JOIN spans AS caller
  ON callee.trace_id = caller.trace_id AND callee.parent_span_id = caller.span_id
WHERE callee.time >= '{from}' AND callee.time < '{to}'
  AND caller.time >= '{from}' AND caller.time < '{to}'
GROUP BY caller.service, callee.service ORDER BY caller, callee
