/**
 * The browser's types by names of our own: `any` where an app is compiled without them, as in Node. Types only.
 */
export type Factory = typeof globalThis extends {
    IDBFactory: {
        prototype: infer T;
    };
} ? T : any;
export type Database = typeof globalThis extends {
    IDBDatabase: {
        prototype: infer T;
    };
} ? T : any;
export type ObjectStore = typeof globalThis extends {
    IDBObjectStore: {
        prototype: infer T;
    };
} ? T : any;
export type Locks = typeof globalThis extends {
    LockManager: {
        prototype: infer T;
    };
} ? T : any;
export type Signal = typeof globalThis extends {
    AbortSignal: {
        prototype: infer T;
    };
} ? T : any;
/** @typedef {typeof globalThis extends { IDBFactory: { prototype: infer T } } ? T : any} Factory */
/** @typedef {typeof globalThis extends { IDBDatabase: { prototype: infer T } } ? T : any} Database */
/** @typedef {typeof globalThis extends { IDBObjectStore: { prototype: infer T } } ? T : any} ObjectStore */
/** @typedef {typeof globalThis extends { LockManager: { prototype: infer T } } ? T : any} Locks */
/** @typedef {typeof globalThis extends { AbortSignal: { prototype: infer T } } ? T : any} Signal */
export {};
