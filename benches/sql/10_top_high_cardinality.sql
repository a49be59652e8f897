-- The ten users with most requests, of hundreds of thousands.
SELECT attributes['user.id'] AS person, count(*) AS requests
FROM spans GROUP BY person ORDER BY requests DESC, person LIMIT 10
