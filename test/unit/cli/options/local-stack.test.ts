import { expect, test } from 'vitest';
import { type LocalStackPackage, loadLocalStack } from '../../../../cli/options/local-stack.ts';
import packageJson from '../../../../package.json' with { type: 'json' };

/** As Node says it of a package that is not installed. */
function missing(name: string): () => Promise<LocalStackPackage> {
  const message = `Cannot find package '${name}' imported from /app/node_modules/batchdrop/cli/main.js`;
  return () => Promise.reject(Object.assign(new Error(message), { code: 'ERR_MODULE_NOT_FOUND' }));
}

test('the local stack of a checkout is loaded', async () => {
  const { startLocalPipeline } = await loadLocalStack();
  expect(startLocalPipeline).toBeTypeOf('function');
});

test('fails with the command that installs the local stack where its package is missing', async () => {
  await expect(loadLocalStack(missing('batchdrop-local'))).rejects.toThrow(
    `run \`npm install --save-dev batchdrop-local@${packageJson.version}\`, then repeat this`,
  );
});

test('fails with what Node says where the local stack itself misses something', async () => {
  await expect(loadLocalStack(missing('dynalite'))).rejects.toThrow("Cannot find package 'dynalite'");
});
