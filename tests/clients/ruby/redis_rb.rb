# redis-rb 4.8: a connection for the producer and one for each worker.

require "redis"

DELIVERIES_MAX = 3
CLAIM_IDLE_MS = 300
ENTRIES_MIN = 21

def fails?(number) = number.to_i % 10 == 0

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

Outcome = Struct.new(:ends, :produced, :done, :dead) do
  def goes_on? = now < ends || produced < ENTRIES_MIN

  def open?
    raise "#{count} of #{produced} after a minute" if now > ends + 60

    goes_on? || count < produced
  end

  def count = done.size + dead.size
end

def work(port, name, consumer, outcome)
  redis = Redis.new(port: port)
  while outcome.open?
    found = redis.xreadgroup("workers", consumer, name, ">", count: 10, block: 200)
    entries = found.fetch(name, [])
    entries.each do |id, fields|
      next if fails?(fields["n"])

      raise "not acknowledged" unless redis.xack(name, "workers", id) == 1

      outcome.done << fields["n"].to_i
    end
    claim(redis, name, consumer, outcome)
  end
end

def claim(redis, name, consumer, outcome)
  claimed = redis.xautoclaim(name, "workers", consumer, CLAIM_IDLE_MS, "0-0", count: 10)
  claimed["entries"].each do |id, fields|
    row, = redis.xpending(name, "workers", id, id, 1)
    next unless row && row["count"] >= DELIVERIES_MAX

    redis.xadd("#{name}:dead", fields)
    outcome.dead << fields["n"].to_i if redis.xack(name, "workers", id) == 1
  end
end

port, name, seconds = ARGV
redis = Redis.new(port: port)
outcome = Outcome.new(now + seconds.to_f, 0, [], [])
redis.xgroup(:create, name, "workers", "0", mkstream: true)
workers = 2.times.map { |at| Thread.new { work(port, name, "w#{at}", outcome) } }
workers.each { |worker| worker.abort_on_exception = true }
while outcome.goes_on?
  redis.xadd(name, { "n" => outcome.produced })
  outcome.produced += 1
  sleep 0.01
end
workers.each(&:join)
group, = redis.xinfo(:groups, name)
redis.xtrim(name, 10)
pending = redis.xpending(name, "workers")["size"]
dead, done = (0...outcome.produced).partition { |number| fails?(number) }
raise "done: #{outcome.done.size} of #{done.size}" unless outcome.done.sort == done
raise "dead: #{outcome.dead.sort}" unless outcome.dead.sort == dead
raise "#{pending} pending, lag #{group["lag"]}" unless pending == 0 && group["lag"] == 0
raise "#{redis.xlen(name)} after the trim" if redis.xlen(name) > 10

puts "redis-rb #{Redis::VERSION}: #{outcome.produced} entries, as expected"
