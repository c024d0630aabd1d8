-- wake: has one of those who wait in a queue look.
--
-- ARGV     queue
-- O(1).
wake(of(ARGV[2]))
