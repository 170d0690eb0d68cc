/**
 * Runs the S3 server in a process of its own, to be killed or measured: `node server-process.ts <dir>`.
 *
 * With a parent process it sends `{ endpoint }` when it listens and `{ event }` for each event; otherwise it prints the
 * endpoint, and its peak memory in MB when it is interrupted.
 */
import { startS3 } from '../../../../../local/services/s3/server.ts';

const [, , dir] = process.argv;
if (dir === undefined) throw new Error('usage: node server-process.ts <dir>');

/** Resolves when the message is in the pipe, where the parent finds it even if this process is killed. */
function send(message: object): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(message, undefined, undefined, (error) => (error ? reject(error) : resolve()));
  });
}

const { endpoint, close } = await startS3({
  dir,
  credentials: { LOCALKEY: 'local-secret' },
  ...(process.send ? { onEvent: (event) => send({ event }) } : {}),
});
if (process.send) await send({ endpoint });
else {
  console.log(endpoint);
  process.once('SIGINT', async () => {
    await close();
    console.log(`peak RSS ${Math.round(process.resourceUsage().maxRSS / 1024)} MB`);
    process.exit(0);
  });
}
