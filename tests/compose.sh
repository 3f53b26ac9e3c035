#!/usr/bin/env bash
# The containers for real: builds the image, runs docker-compose.yml, breaks it, mends it.
#
#   bash tests/compose.sh            needs a Docker engine with compose, curl and python3
#
# Works in a copy of the repository and in a project of its own, on port 18000. Images that cannot
# be pulled are replaced by the stand-ins of tests/servers under the same tag, named as such, and
# removed at the end: nobody's memories are to be kept by one. PREVIOUS is the commit that the
# upgrade starts from, the last one by default.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
previous=${PREVIOUS:-$(git rev-parse HEAD~1)}
here=$PWD work=$(mktemp -d)
export COMPOSE_PROJECT_NAME=memory-compose-test PORT=18000
api=http://127.0.0.1:$PORT
stand_ins=()
clean_up() {
  docker rm -fv "$COMPOSE_PROJECT_NAME-"{openai,elsewhere,alone}
  cd "$work" && docker compose --profile ollama down -v
  docker volume rm "$COMPOSE_PROJECT_NAME-alone"
  ((${#stand_ins[@]})) && docker rmi "${stand_ins[@]}"
  rm -rf "$work"
}
trap 'set +e; clean_up >/dev/null 2>&1' EXIT
git ls-files -co --exclude-standard -z | tar --null -T - -c | tar -x -C "$work"
cd "$work"

passed=0
pass() { passed=$((passed + 1)); echo "ok $passed - $*"; }
fail() { echo "not ok - $*"; docker compose logs --tail 20; exit 1; }
post() { curl -sS -X POST "$api/memory/$1" -H 'Content-Type: application/json' -d "${2:-}"; }
total() { post get_all "${1:-}" | python3 -c 'import json,sys; print(json.load(sys.stdin)["total"])'; }
status() { curl -s -o /dev/null -w '%{http_code}' "$api/$1" || true; }
until_healthy() { for _ in $(seq 100); do [[ $(status health) == 200 ]] && return; sleep 0.2; done; fail "/health is not 200"; }
ready() { curl -s "$api/ready" | python3 -c 'import json,sys; print(json.load(sys.stdin)["status"])' 2>/dev/null || true; }
until_ready() { for _ in $(seq 300); do [[ $(ready) == "$1" ]] && return; sleep 0.2; done; fail "/ready is not $1: $(curl -s "$api/ready")"; }
seconds() { local s=$EPOCHREALTIME; "$@" >/dev/null 2>&1; python3 -c "print(round($EPOCHREALTIME-$s,1))"; }

# --- images
docker build -q -t mem0:0.1 . >/dev/null
pass "docker build -t mem0:0.1 . : $(docker image inspect mem0:0.1 -f '{{.Size}}' | python3 -c 'print(int(input())//10**6)') MB, of it the base $(docker image inspect python:3.12-slim -f '{{.Size}}' | python3 -c 'print(int(input())//10**6)') MB"
stand_in() { # tag, module, port
  echo "# a stand-in from tests/servers takes the tag $1"
  stand_ins+=("$1")
  docker build -q -t "$1" -f - tests >/dev/null <<X
FROM mem0:0.1
USER root
COPY servers tests/servers
RUN touch tests/__init__.py && mkdir -p /qdrant/storage && printf '#!/bin/sh\nexec python -c "import http.client as h; c = h.HTTPConnection(\"127.0.0.1:11434\"); c.request(\"GET\", \"/api/tags\"); c.getresponse()"\n' >/usr/local/bin/ollama && chmod +x /usr/local/bin/ollama
ENV QDRANT_STORAGE=/qdrant/storage
HEALTHCHECK NONE
CMD ["python", "-m", "tests.servers.$2", "--host", "0.0.0.0", "--port", "$3"]
X
}
is_here() { docker image inspect "$1" >/dev/null 2>&1 || docker pull -q "$1" >/dev/null 2>&1; }
for server in qdrant:6333 ollama:11434; do
  image=$(docker compose --profile ollama config --images | grep "^${server%:*}/")
  is_here "$image" || stand_in "$image" "${server%:*}" "${server#*:}"
done
stand_in memory-test-openai openai 9100

# --- the image
inside() { docker run --rm --entrypoint "" mem0:0.1 "$@"; }
[[ $(inside id -u) == 10001 ]] || fail "runs as root"
for absent in gcc cc curl pytest; do inside sh -c "command -v $absent" >/dev/null && fail "$absent is in the image"; done
inside sh -c 'test -e /srv/LICENSE && test -e /srv/NOTICE' || fail "the licences are missing"
version=$(docker image inspect -f '{{index .Config.Labels "org.opencontainers.image.version"}}' mem0:0.1)
inside sh -c 'touch /srv/x 2>/dev/null' && fail "the code can be written"
inside sh -c 'test ! -e /srv/tests && test ! -e /srv/.env && touch /data/x' || fail "wrong files"
pass "the image: a user without rights but on /data, no compiler, cache, test or secret"
docker run -d --rm --name "$COMPOSE_PROJECT_NAME-alone" -p 127.0.0.1:$PORT:8000 mem0:0.1 >/dev/null
until_healthy
[[ $(curl -s "$api/health") == "{\"status\":\"ok\",\"version\":\"$version\"}" ]] || fail "its version is not the label's"
post add '{"data":"I like tea","user_id":"a"}' | grep -q '"event":"ADD"' || fail "alone: add"
post search '{"query":"tea"}' | grep -q 'I like tea' || fail "alone: search"
post search '{"query":"hot drinks"}' | grep -q 'I like tea' || fail "alone: search by meaning"
docker logs "$COMPOSE_PROJECT_NAME-alone" 2>&1 | grep -q 'is not installed' && fail "e5 is not in the image"
docker stop -t 40 "$COMPOSE_PROJECT_NAME-alone" >/dev/null
pass "docker run alone: embedded engine, local embedder"

# --- up
took=$(seconds docker compose up -d --wait --wait-timeout 120)
[[ $(docker compose ps --format '{{.Health}}' | sort -u) == healthy ]] || fail "not all healthy"
until_ready ok
grep -q 'is asked over gRPC' <<<"$(docker compose logs mem0 2>&1)" || fail "Qdrant is not asked over gRPC"
pass "docker compose up -d --wait without .env: both healthy after $took s, Qdrant asked over gRPC"

# --- what the container may
asked='{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.CapAdd}} {{.HostConfig.SecurityOpt}}'
[[ $(docker inspect -f "$asked" "$(docker compose ps -q mem0)") == "true [ALL] [] [no-new-privileges:true]" ]] || fail "its rights are others"
for path in /srv /venv /etc /var/tmp /; do
  docker compose exec -T --user root mem0 touch "$path/x" 2>/dev/null && fail "$path can be written"
done
docker compose exec -T mem0 sh -c 'touch /tmp/x /data/x && rm /tmp/x /data/x' || fail "/tmp or /data cannot be written"
rights=$(docker compose exec -T mem0 sh -c 'cat /proc/1/status' | grep -E '^(Cap|NoNewPrivs)' | tr -d '\t' | paste -sd ' ')
none=0000000000000000
[[ $rights == "CapInh:$none CapPrm:$none CapEff:$none CapBnd:$none CapAmb:$none NoNewPrivs:1" ]] || fail "$rights"
pass "the container: read-only but for /data and /tmp, no capabilities, none to be had"
docker compose down >/dev/null 2>&1
docker compose up -d qdrant >/dev/null 2>&1 && docker compose up -d mem0 >/dev/null 2>&1
until_ready ok
pass "up -d qdrant, then up -d mem0"

# --- nothing is lost
id=$(post add '{"data":"I love hiking in the mountains","user_id":"alice"}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["result"])')
docker compose down >/dev/null 2>&1; docker compose up -d --wait >/dev/null 2>&1
post get "{\"memory_id\":\"$id\"}" | grep -q hiking || fail "the memory is gone after down and up"
post history "{\"memory_id\":\"$id\"}" | grep -q '"ADD"' || fail "the history is gone after down and up"
pass "down and up: memory and history are there"
touch acknowledged
python3 - "$api" >acknowledged <<'X' &
import http.client, json, sys
host = sys.argv[1].removeprefix("http://")
for n in range(200):
    try:
        c = http.client.HTTPConnection(host, timeout=5)
        c.request("POST", "/memory/add", json.dumps({"data": f"note {n}", "user_id": "bob"}), {"Content-Type": "application/json"})
        r = c.getresponse()
        if r.status == 201:
            print(json.load(r)["result"], flush=True)
    except (OSError, http.client.HTTPException):
        pass
X
adding=$!
until [[ $(wc -l <acknowledged) -ge 60 ]]; do sleep 0.05; done
docker compose kill mem0 >/dev/null 2>&1
wait $adding
docker compose up -d --wait >/dev/null 2>&1
while read -r one; do
  post get "{\"memory_id\":\"$one\"}" | grep -q note || fail "lost $one"
  post history "{\"memory_id\":\"$one\"}" | grep -q '"ADD"' || fail "no history of $one"
done <acknowledged
pass "kill in the middle of 200 adds: $(wc -l <acknowledged) acknowledged, all there with their history"
docker compose stop qdrant >/dev/null 2>&1
until_ready failed
[[ $(status ready)$(status health) == 503200 ]] || fail "not 503 and healthy without qdrant"
docker compose start qdrant >/dev/null 2>&1
until_ready ok
[[ $(total '{"user_id":"alice"}') == 1 ]] || fail "not well after qdrant came back"
pass "stop qdrant: 503 at /ready, 200 at /health; start: works again by itself"

# --- stop
python3 -c 'import json; print(json.dumps({"user_id": "carol", "messages": [{"role": "user", "content": f"note {n} " * 60} for n in range(96)]}))' >long.json
curl -sS -o long.out -w '%{http_code}' -X POST "$api/memory/add" -H 'Content-Type: application/json' -d @long.json >long.status &
long=$!
sleep 0.5
docker compose stop mem0 >/dev/null 2>&1
wait $long
[[ $(<long.status) == 201 ]] || fail "a running request was cut off: $(<long.status)"
docker compose start mem0 >/dev/null 2>&1; until_ready ok
[[ $(total '{"user_id":"carol"}') == 96 ]] || fail "what was answered 201 is not there"
pass "a stop lets a running request finish"
took=$(seconds docker compose down)
python3 -c "import sys; sys.exit($took >= 15)" || fail "down took $took s"
pass "down when idle: $took s"

# --- a backup, as the README has it
docker compose up -d --wait >/dev/null 2>&1
before=$(total)
docker compose exec -T mem0 python -m app.cli.backup - >memories.zip 2>/dev/null
docker compose down -v >/dev/null 2>&1
docker compose up -d --wait >/dev/null 2>&1
[[ $(total) == 0 ]] || fail "the volumes are not new"
docker compose stop mem0 >/dev/null 2>&1
docker compose run --rm -T mem0 python -m app.cli.restore - --replace <memories.zip >/dev/null 2>&1
docker compose up -d --wait >/dev/null 2>&1
until_ready ok
[[ $(total) == "$before" ]] || fail "the backup is not whole"
post history "{\"memory_id\":\"$id\"}" | grep -q '"ADD"' || fail "the backup has no history"
pass "backup while it runs, and restore on new volumes: $before memories, and their history"

# --- no key, then a key, on the same volumes
network=${COMPOSE_PROJECT_NAME}_default
docker run -d --name "$COMPOSE_PROJECT_NAME-openai" --network "$network" --network-alias openai memory-test-openai >/dev/null
cp env .env && printf 'OPENAI_API_KEY=sk-test\nOPENAI_BASE_URL=http://openai:9100/v1\n' >>.env
docker compose up -d --wait >/dev/null 2>&1
until_ready degraded
[[ $(status ready) == 200 ]] || fail "not 200 while the memories are of another embedder"
message=$(curl -s "$api/ready")
grep -q embedder_mismatch <<<"$message" && grep -q 'python -m app.reembed' <<<"$message" || fail "$message"
docker compose run --rm mem0 python -m app.reembed | tail -2
until_ready ok
[[ $(total) == "$before" ]] || fail "memories are missing after reembed"
post search '{"query":"hiking in the mountains","user_id":"alice"}' | grep -q 'I love hiking' || fail "not found after reembed"
grep -q sk-test <<<"$(docker compose logs 2>&1)" && fail "the key is in the log"
pass "from no key to OpenAI: the message, its one command, everything found again"
docker rm -fv "$COMPOSE_PROJECT_NAME-openai" >/dev/null
docker compose down -v >/dev/null 2>&1

# --- Ollama
cp env .env && printf 'OLLAMA_BASE_URL=http://ollama:11434\nEMBEDDER_MODEL=bge-m3\nWEB_CONCURRENCY=2\n' >>.env
took=$(seconds docker compose --profile ollama up -d --wait --wait-timeout 120)
[[ $(status health) == 200 ]] || fail "not healthy beside Ollama"
until_ready ok
post add '{"data":"I like tea","user_id":"a","infer":false}' | grep -q '"ADD"' || fail "add on Ollama"
for model in bge-m3 llama3.1:8b; do
  grep -q "pulled the model $model" <<<"$(docker compose logs mem0 2>&1)" || fail "$model was not pulled"
done
grep -q memory_service_http <<<"$(curl -s "$api/metrics")" || fail "two workers have no metrics"
pass "--profile ollama: healthy after $took s, the models pulled behind it; two workers"
docker compose --profile ollama down -v >/dev/null 2>&1
rm .env

# --- another Qdrant server, behind a proxy that nobody is to be called by
cat >.env <<'X'
QDRANT_URL=http://elsewhere:6333
QDRANT_API_KEY=its-key
HTTP_PROXY=http://127.0.0.1:9
NO_PROXY=elsewhere
CUSTOM_INSTRUCTIONS='prices in $US, please # all of them'
X
docker compose up -d --wait --no-deps mem0 >/dev/null 2>&1
[[ $(docker compose ps --services) == mem0 ]] || fail "the bundled Qdrant runs too"
docker run -d --name "$COMPOSE_PROJECT_NAME-elsewhere" --network "$network" --network-alias elsewhere memory-test-openai \
  python -m tests.servers.qdrant --host 0.0.0.0 --port 6333 --api-key its-key >/dev/null
until_ready ok
post add '{"data":"I like tea","user_id":"a"}' | grep -q '"ADD"' || fail "add on another Qdrant"
[[ $(docker compose exec -T mem0 printenv CUSTOM_INSTRUCTIONS) == 'prices in $US, please # all of them' ]] || fail "a value of .env has changed"
docker rm -fv "$COMPOSE_PROJECT_NAME-elsewhere" >/dev/null
until_ready failed
pass "QDRANT_URL, QDRANT_API_KEY and NO_PROXY from .env are used, without the bundled Qdrant"
rm .env
docker compose up -d --wait >/dev/null 2>&1
until_ready ok
[[ $(total) == 0 ]] || fail "another Qdrant's memories are in the bundled one"
docker compose down -v >/dev/null 2>&1
HTTP_PROXY=http://127.0.0.1:9 docker compose up -d --wait >/dev/null 2>&1
until_ready ok
[[ $(docker compose exec -T mem0 printenv HTTP_PROXY) == http://127.0.0.1:9 ]] || fail "HTTP_PROXY is not passed on"
pass "behind a proxy the bundled Qdrant is called without it"
docker compose down -v >/dev/null 2>&1

# --- an upgrade: the previous version's file, image and volumes, then these; and another embedder
alone() { docker run -d --name "$COMPOSE_PROJECT_NAME-alone" -p 127.0.0.1:$PORT:8000 -v "$COMPOSE_PROJECT_NAME-alone:/data" "$@" mem0:0.1 >/dev/null; }
not_alone() { docker stop -t 40 "$COMPOSE_PROJECT_NAME-alone" >/dev/null && docker rm "$COMPOSE_PROJECT_NAME-alone" >/dev/null; }
add_tea() { post add '{"data":"I like tea","user_id":"a"}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["result"])'; }
all_there() { # id of the memory
  post get "{\"memory_id\":\"$1\"}" | grep -q 'I like tea' || fail "the old memory is gone"
  post history "{\"memory_id\":\"$1\"}" | grep -q '"ADD"' || fail "the old history is gone"
  found=$(post search '{"query":"hot drinks","user_id":"a"}')
  grep -q 'I like tea' <<<"$found" || fail "not found by meaning: $found"
}
mkdir old && git -C "$here" archive "$previous" | tar -x -C old
docker build -q -t mem0:0.1 old >/dev/null
echo EMBEDDER_MODEL=all-MiniLM-L6-v2 >old/.env
(cd old && docker compose up -d --wait >/dev/null 2>&1)
on_server=$(add_tea)
(cd old && docker compose stop mem0 >/dev/null 2>&1)
alone --env-file old/.env
until_healthy
embedded=$(add_tea)
not_alone

docker build -q -t mem0:0.1 . >/dev/null
alone
until_healthy
until_ready ok
all_there "$embedded"
docker logs "$COMPOSE_PROJECT_NAME-alone" 2>&1 | grep -q 'every memory is embedded by' || fail "nothing was embedded again"
not_alone
pass "an upgrade from ${previous:0:7}, embedded: embedded again by itself"
docker compose up -d --wait >/dev/null 2>&1
[[ $(docker volume ls -q --filter "name=${COMPOSE_PROJECT_NAME}_" | wc -l) == 2 ]] || fail "the volumes are others"
until_ready degraded
grep -q 'python -m app.reembed' <<<"$(curl -s "$api/ready")" || fail "it is not said what to do"
docker compose run --rm mem0 python -m app.reembed >/dev/null 2>&1
until_ready ok
all_there "$on_server"
pass "an upgrade from ${previous:0:7}, with docker compose: the volumes open, and reembed mends the rest"
echo "$passed passed, 0 failed"
