.PHONY: test lint fuzz bench

test:
	go test -race -shuffle=on ./...

lint:
	bash .ci/run vet format lint

# FUZZTIME=1m make fuzz
fuzz:
	bash .ci/run fuzz

bench:
	go -C bench test -run='^$$' -bench=. -benchmem .
