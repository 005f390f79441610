// What a reader must see of the events that interop-server generates: the types and data that were given to the encoder, as
// HTML has them.

/** The expected events of `/generated?n=N&seed=S`, with their ids. */
export async function generated(base, n, seed) {
  const answer = await fetch(`${base}/generated.json?n=${n}&seed=${seed}`, { signal: AbortSignal.timeout(10_000) });
  const given = await answer.json();
  return given.map(([type, data], i) => ({
    type: type || 'message',
    data: data.replace(/\r\n?/g, '\n'), // the format has no other line end than LF
    lastEventId: String(i + 1),
  }));
}

/** All types that there are. */
export const typesOf = (events) => [...new Set(events.map((event) => event.type))];
