/**
 * `fetch` for requests that are answered late. Node's own gives up when no headers have come for five minutes
 * (undici's `headersTimeout`), and an answer that comes later has been paid for and is lost; flex may take 15 minutes
 * (guide "Flex processing"). This one waits for as long as its signal lets it. Each request has a connection of its
 * own: a kept one that the other side is just closing could not say whether the request was received.
 */
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

/** Until there is a connection; nothing was sent before. */
const CONNECT_MS = 10_000;
/** How often a silent connection sends a keep-alive: NAT gateways forget an idle connection after minutes. */
const KEEP_ALIVE_MS = 30_000;

/** Code of the error if there was no connection in time. */
export const NOT_CONNECTED = 'ENOTCONN';

/** Takes text as the body; gives the whole answer, and follows no redirect. */
export function patientFetch(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
  return new Promise((resolve, reject) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const isPlain = url.protocol === 'http:';
    const request = (isPlain ? requestHttp : requestHttps)(url, {
      method: init.method,
      signal: init.signal ?? undefined,
      headers: Object.fromEntries(new Headers(init.headers)),
      agent: false,
    });
    request.on('error', reject);
    request.on('response', (answer) => read(answer).then(resolve, reject));
    request.on('socket', (socket) => {
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      const timer = setTimeout(() => {
        const reason = `${url.host}: no connection after ${CONNECT_MS} ms`;
        request.destroy(Object.assign(new Error(reason), { code: NOT_CONNECTED }));
      }, CONNECT_MS);
      socket.once(isPlain ? 'connect' : 'secureConnect', () => clearTimeout(timer));
      socket.once('close', () => clearTimeout(timer));
    });
    request.end(init.body as string | undefined);
  });
}

/** Fails if the answer is cut short. */
async function read(answer: IncomingMessage): Promise<Response> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const headers = new Headers();
  for (const [name, values = []] of Object.entries(answer.headersDistinct))
    for (const value of values) headers.append(name, value);
  return new Response(body.length === 0 ? null : body, { status: answer.statusCode!, headers });
}
