/** Calls that are waited for go by the proxy of the environment, as those of Node's own `fetch` do. */
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterEach, expect, it, onTestFinished, vi } from 'vitest';
import { patientFetch } from '../../../../src/providers/openai/patient-fetch.ts';
import { CERTIFICATE, KEY } from '../../../support/api-example-certificate.ts';
import { startConnectProxy } from '../../../support/connect-proxy.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

/** A server that only the proxy can reach: no name service knows `api.example`. */
async function startBehindProxy() {
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, CERTIFICATE]);
  const server = createServer({ key: KEY, cert: CERTIFICATE }, (request, response) => {
    request.resume().on('end', () => response.end(`${request.method} ${request.url}`));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const proxy = await startConnectProxy({ 'api.example:443': (server.address() as AddressInfo).port });
  onTestFinished(async () => {
    setDefaultCACertificates(before);
    await proxy.close();
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  });
  return proxy;
}

it('goes through a tunnel of the proxy that the environment names, where Node is told to use it', async () => {
  const proxy = await startBehindProxy();
  vi.stubEnv('HTTPS_PROXY', proxy.url);
  vi.stubEnv('NODE_USE_ENV_PROXY', '1');
  const answer = await patientFetch('https://api.example/v1/responses', { method: 'POST', body: '{}' });
  expect(await answer.text()).toBe('POST /v1/responses');
  expect(proxy.asked).toEqual(['api.example:443']);
});

it('goes past the proxy to hosts of NO_PROXY, and where Node is not told to use one', async () => {
  const proxy = await startBehindProxy();
  vi.stubEnv('HTTPS_PROXY', proxy.url);
  await expect(patientFetch('https://api.example/v1/responses')).rejects.toThrow(/ENOTFOUND|EAI_AGAIN/);
  vi.stubEnv('NODE_USE_ENV_PROXY', '1');
  vi.stubEnv('NO_PROXY', 'api.example');
  await expect(patientFetch('https://api.example/v1/responses')).rejects.toThrow(/ENOTFOUND|EAI_AGAIN/);
  expect(proxy.asked).toEqual([]);
});

it('says so where the proxy refuses the tunnel', async () => {
  const proxy = await startBehindProxy();
  vi.stubEnv('HTTPS_PROXY', proxy.url);
  vi.stubEnv('NODE_USE_ENV_PROXY', '1');
  await expect(patientFetch('https://elsewhere.example/v1')).rejects.toThrow(/403|tunnel|proxy/i);
});
