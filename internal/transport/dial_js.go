package transport

import "net/http"

// setDialer leaves connecting to the browser's Fetch, which net/http uses only while no dial function is set.
func setDialer(*http.Transport) {}

// refuseHTTP2 has nothing to do, as setDialer.
func refuseHTTP2(*http.Transport) {}
