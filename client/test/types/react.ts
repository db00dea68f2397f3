// Compiles only while `src/react.js` has what `types/react.d.ts` promises.
import * as hooks from "../../react.js";
import type * as face from "../../types/react.js";

type Without<Name> = Omit<typeof face, Name & string>;
// `useEntity` promises more than its implementation says.
export const values: { [Name in keyof Without<"useEntity">]: Without<"useEntity">[Name] } = hooks;
export const declared: { [Name in keyof typeof hooks]: unknown } = {} as { [Name in keyof typeof face]: unknown };
