/** The local stack, which is a package of its own: only commands that start one need it. */
import packageJson from '../../package.json' with { type: 'json' };
import { CannotRunError } from '../view/exit.ts';

/** Name of the package. */
const PACKAGE = 'batchdrop-local';

/** What starts a local stack or opens the state of one. */
export type LocalStackPackage = typeof import('../../local/index.ts');

/**
 * Loads the local stack.
 * @param load for tests: how it is loaded.
 * @throws {CannotRunError} with the command that installs it, if it is missing.
 */
export async function loadLocalStack(
  load: () => Promise<LocalStackPackage> = () => import('../../local/index.ts'),
): Promise<LocalStackPackage> {
  try {
    return await load();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // Something that it needs itself may be missing, too: that is another message.
    if (code !== 'ERR_MODULE_NOT_FOUND' || !message.includes(`'${PACKAGE}'`)) throw error;
    throw new CannotRunError(
      `the local stack is a package of its own, which is not installed: run \`npm install --save-dev ${PACKAGE}@${packageJson.version}\`, then repeat this`,
    );
  }
}
