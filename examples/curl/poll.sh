#!/bin/sh
# Reads topics by long polls with curl, a line of JSON for each answer: sh poll.sh [px.AAPL,px.MSFT] [http://127.0.0.1:8080/stream]
topics=${1:-px.AAPL} url=${2:-http://127.0.0.1:8080/stream}
head=$(mktemp)
trap 'rm -f "$head"' EXIT
after=
while :; do
	# An answer of 204 says that nothing came. The cursor of each answer is where the next one goes on.
	if curl -sSf -D "$head" -G --data-urlencode "topics=$topics" ${after:+-d "after=$after"} "$url"; then
		after=$(tr -d '\r' <"$head" | sed -n 's/^[Tt]ickcast-[Cc]ursor: //p')
		echo
	else
		sleep 2
	fi
done
