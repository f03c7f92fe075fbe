// Package vidutest provides a fake of the Vidu video API for tests: of code that uses package vidu, of package vidu
// itself, and of any other client, for it shares no code with package vidu and speaks plain HTTP.
//
// A test of code that makes videos needs no key, no network and no money:
//
//	func TestMakesVideo(t *testing.T) {
//		server := vidutest.New(t, vidutest.WithTiming(0, 50*time.Millisecond))
//
//		client, err := vidu.NewClient(server.URL, vidutest.APIKey)
//		require.NoError(t, err)
//
//		server.DropReplyAfterCommit() // the worst that can happen to a paid call
//		_, err = makeVideo(t.Context(), client, t.TempDir()+"/hero.mp4")
//
//		require.ErrorIs(t, err, vidu.ErrMaybeCreated)
//		require.Equal(t, 1, server.Charged()) // not paid twice
//	}
//
// # What it does
//
// [New] starts a [Server] that a test closes by itself, [NewServer] one for everything else; and for other languages
// and local stacks there is a command:
//
//	go run github.com/vidu-go/vidu/vidutest/cmd/viduserver
//
// A server checks the API key, the Content-Type and every field of a create, answers with the fields of the published
// samples, and refuses with the official error envelope. It answers four creates and the query:
//
//	POST {prefix}/reference2video
//	POST {prefix}/text2video
//	POST {prefix}/img2video
//	POST {prefix}/start-end2video
//	GET  {prefix}/tasks/{id}/creations
//
// A create is refused if the documents of the API forbid it: each endpoint has fields of its own, requires some of
// them, counts its media, and knows the values of most. A field that it does not document, be it new, misspelt or of
// another endpoint, is refused with FieldUnwanted unless [WithUnknownFields] is set. A field that comes twice and text
// that is not UTF-8 are refused always, and so is what a known model does not make: durations, resolutions, aspect
// ratios, off-peak. A model that is known to no endpoint may be asked for all of that. [WithEndpoint] adds a create
// that takes any JSON object.
//
// By default it speaks as a gateway that resells the API does, and the prefix is /vidu/v2. With [WithOfficialAPI] the
// prefix is /ent/v2, and there is what most gateways lack:
//
//	POST {prefix}/tasks/{id}/cancel
//	GET  {prefix}/tasks
//	GET  {prefix}/credits
//	POST /tools/v2/files/uploads
//	PUT  /tools/v2/files/uploads/{id}/finish
//
// [WithAPIPath] sets any other prefix.
//
// A task runs through created, queueing, processing and then success or failed as time passes, and [WithTiming] sets
// how fast. All tasks run at the same time: [WithTaskLimit] does not make one wait for another, it has a create refused
// with 429 QuotaExceeded. [Server.Hold] has a task go on until [Server.Finish] or [Server.Fail] ends it by hand.
//
// # Media
//
// Images, videos and sounds that come inline are decoded as they stream by, so a create of 20 MB costs kilobytes: they
// must have a media type, be whole base64 and begin as a file of a known format does. Nothing else about them is
// checked, and links are not fetched, but they must be absolute http or https URLs. The official API accepts references
// to uploads as well, but only to those that were finished there; the upload links check what real ones check, and
// answer 400 to a request that brings the API key.
//
// The result of a task is a real video, two seconds of H.264 in an MP4 of 9096 bytes, and a cover; [WithVideoSize]
// makes the video larger. Both are served by links that are signed afresh with every query. Like real ones, the links
// hold "%253A" and raw semicolons, are valid only byte for byte as they were given, and expire: [WithLinkLifetime].
// They support Range with a strong ETag unless [WithoutRanges] is set, and they answer 400 to a request that brings an
// Authorization or Cookie header, so that a leaked key fails a test. [WithPublicURL] is for a server behind TLS or a
// proxy.
//
// # Time
//
// The server starts no timer and no goroutine for a task, [WithCallbacks] apart: the state of a task follows from its
// age. Made with [InMemory] inside a testing/synctest bubble, a video that takes two days is done at once:
//
//	synctest.Test(t, func(t *testing.T) {
//		server := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(47*time.Hour, time.Hour))
//		defer server.Close()
//
//		client, err := vidu.NewClient(server.URL, vidutest.APIKey, vidu.WithHTTPClient(server.Client()))
//		…
//	})
//
// In memory both ends are those of net/http, with a pipe in place of the network: connections are kept and cut, and a
// response whose body is not closed keeps its goroutines, with which the bubble then fails.
//
// # Faults
//
// A script is a fault that happens once. Each call of one of these methods queues one, and each request to the API,
// uploads included, takes the oldest that applies to it:
//
//   - [Server.FailNext] answers any request with a status and a body: FailNext(503, "").
//   - [Server.AnswerNext] answers a request of a certain kind with an [http.HandlerFunc].
//   - [Server.DropReplyAfterCommit] accepts and charges a create, and loses the answer.
//   - [Server.LateCommit] loses the answer too, and makes the task only later.
//   - [Server.DropMidBody] breaks an answer off in its middle.
//   - [Server.Delay] holds an answer back.
//
// The other scripts have separate queues: [Server.FailTask] and [Server.Hold], of which each accepted create takes one,
// and [Server.CutDownload] and [Server.ReplaceVideo], of which each download takes one.
//
// [Server.When] restricts a script to requests that meet a condition, such as the create with a certain payload.
// [Server.Pending] lists the scripts that nothing has used; [New] has a test fail that ends with any.
//
// Faults that last, instead of happening once, are options: [WithRefusedWord] and [WithFailingWord] simulate
// moderation, [WithLinkLifetime], [WithoutRanges] and [WithoutContentLength] an awkward storage. [WithListDelay] tests
// code that looks for a task after a lost answer.
//
// # Callbacks
//
// [Server.NewCallback] makes a signed callback about a task, genuine or not, and leaves it to the test to deliver it:
// to a handler or through a client, late, twice, in the wrong order or never. [WithCallbacks] has the server deliver
// genuine ones by itself.
//
// # Ledger
//
// [Server.Charged] counts the creates that were accepted, which is what a bill would count, and [Server.Tasks] lists
// what became of each: its payload, its state, its price. [Server.Requests] lists what arrived at the API, creates with
// their endpoint, and [Server.Downloads] what arrived at result links, both without keys. A server remembers every task
// and every request, with bodies of up to 1 MiB, until it is garbage: a create of a few fields leaves about a kilobyte
// behind, so 100 000 of them are no trouble.
package vidutest
