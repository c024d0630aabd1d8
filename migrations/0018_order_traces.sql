-- In which trace an order was handed in (W3C traceparent): whatever moves it later, a callback or a sweep, its steps go on there.
-- NULL: nobody traced it.
ALTER TABLE orders ADD COLUMN traceparent TEXT;
