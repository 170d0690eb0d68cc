/** What every local service knows of a request. */
import type { IncomingHttpHeaders } from 'node:http';
import type { RequestContext } from './conditions.ts';

/**
 * The services listen on 127.0.0.1 without TLS, in place of AWS's endpoints, which clients reach over TLS by default. A
 * request that says `X-Forwarded-Proto: http` stands for one to AWS without TLS.
 */
export function contextOf(headers: IncomingHttpHeaders): RequestContext {
  return { 'aws:SecureTransport': String(headers['x-forwarded-proto'] !== 'http') };
}
