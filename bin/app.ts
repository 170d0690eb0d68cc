/** Entry of the CDK app; `cdk.json` names it. */
import { createCheckedApp } from './checked-app.ts';
import { synthesize } from './create-app.ts';

synthesize(createCheckedApp);
