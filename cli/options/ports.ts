/** `--port`: which service of the local stack listens where. */
import { InvalidArgumentError } from 'commander';
import type { PortName, Ports } from '../../local/stack/ports.ts';

/** What may be given a port. */
export const PORT_NAMES = [
  's3',
  'dynamodb',
  'sqs',
  'events',
  'secretsManager',
  'cloudwatch',
  'functionUrls',
  'openai',
] as const satisfies readonly PortName[];

/**
 * Adds one `--port` to those before it.
 * @param text `4566` for S3, or `sqs=4567`.
 * @throws {InvalidArgumentError} if it is neither.
 */
export function collectPort(text: string, before: Ports = {}): Ports {
  const [name, number] = text.includes('=') ? text.split('=', 2) : ['s3', text];
  const port = Number(number);
  if (!(PORT_NAMES as readonly string[]).includes(name!))
    throw new InvalidArgumentError(`"${name}" is none of ${PORT_NAMES.join(', ')}`);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('a port is 1 to 65535');
  return { ...before, [name as PortName]: port };
}
