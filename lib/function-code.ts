import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { AssetHashType, DockerImage } from 'aws-cdk-lib';
import { AssetCode, type Code } from 'aws-cdk-lib/aws-lambda';
import { bundleFunction, PROJECT } from './bundling.ts';

/** Where the package `batchdrop` has its bundles, one folder for each function; a checkout has none. */
const BUNDLES = new URL('../functions/', import.meta.url);

/**
 * The code of a function: the bundle that the package brings or, in a checkout, one that is made now. Both come out of
 * {@link bundleFunction}, and are named by what they hold.
 *
 * @param name of the folder in `lambdas/`.
 */
export function functionCode(name: string): Code {
  const folder = fileURLToPath(new URL(name, BUNDLES));
  if (existsSync(folder)) return new AssetCode(folder);
  return new AssetCode(PROJECT, {
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      // Never run: esbuild bundles here, or says why it cannot.
      image: DockerImage.fromRegistry('none'),
      // CDK tells one bundle from another by what is written here.
      command: [name],
      local: {
        tryBundle(output) {
          bundleFunction(name, output);
          return true;
        },
      },
    },
  });
}
