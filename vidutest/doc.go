// Package vidutest provides a fake of the Vidu "reference to video" API for tests: of code that uses package vidu, of
// package vidu itself, and of any other client, for it shares no code with package vidu and speaks plain HTTP.
//
// A test of code that makes videos needs no key, no network and no money:
//
//	func TestMakesVideo(t *testing.T) {
//		server := vidutest.NewServer(vidutest.WithTiming(0, 50*time.Millisecond))
//		defer server.Close()
//
//		client, err := vidu.NewClient(server.URL, vidutest.APIKey)
//		require.NoError(t, err)
//
//		server.DropReplyAfterCommit() // the worst that can happen to a paid call
//		_, err = makeVideo(t.Context(), client)
//
//		require.ErrorIs(t, err, vidu.ErrMaybeCreated)
//		require.Equal(t, 1, server.Charged()) // not paid twice
//	}
//
// # What it does
//
// [NewServer] starts a [Server] that checks the API key, the Content-Type and every field of a create, answers with the
// fields of the published samples, and refuses with the official error envelope. It answers two endpoints:
//
//	POST {prefix}/reference2video
//	GET  {prefix}/tasks/{id}/creations
//
// A task runs through created, queueing, processing and then success or failed as time passes; [WithTiming] says how
// fast. The result of a task is a real video, two seconds of H.264 in an MP4 of 9 kB, with a cover; both can be had
// through links that are signed afresh with every query. As real ones, the links hold "%253A" and raw semicolons and
// open only byte for byte as they were given. They support Range with a strong ETag, and they answer 400 to a request
// that brings an Authorization or Cookie header, so that a key sent astray fails a test.
//
// By default the server speaks as the gateway that this module was written against; [WithOfficialAPI] changes that.
//
// It knows no models: any name will do. It does not look at images, nor fetch those given as links. Inline images pass
// through without being held, so a create of 20 MB costs it kilobytes. It remembers every task and every request, with
// bodies of up to 1 MiB, until it is garbage: a server is meant for one test.
//
// # Time
//
// The server starts no timer and no goroutine for a task. Made with [InMemory] inside a testing/synctest bubble, a video
// that takes two days is done in no time:
//
//	synctest.Test(t, func(t *testing.T) {
//		server := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(47*time.Hour, time.Hour))
//		defer server.Close()
//
//		client, err := vidu.NewClient(server.URL, vidutest.APIKey, vidu.WithHTTPClient(server.Client()))
//		…
//	})
//
// In memory nothing sends a request's body ahead of its reader: the handler reads straight from the client's body, and
// one that it refuses by the header alone stays unread.
//
// # Faults
//
// Each call of a script method queues one fault, and each request to the API uses up the oldest that can happen to it:
// [Server.FailNext], [Server.DropReplyAfterCommit], [Server.DropMidBody] and [Server.Delay]. Downloads are left alone.
// [Server.FailTask] has its own queue, which accepted creates use up.
//
// # Ledger
//
// [Server.Charged] counts the creates that were accepted, which is what a bill would count. [Server.Requests] lists what
// arrived at the API, without keys.
package vidutest
