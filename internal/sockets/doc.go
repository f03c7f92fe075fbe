// Package sockets contains tests only: package vidu over real sockets, through its public API. Names are resolved,
// certificates verified and connections cut for real, with the transports that NewClient makes by default; what a test
// observes is what the server received and what the caller got. Nothing here looks into the client: where a test needs
// a part of the library it takes the engine below internal.
package sockets
