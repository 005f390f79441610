//! The laws, over every machine: 2,000 cases each, or `STILLWIRE_LAW_CASES`.

macro_rules! laws {
    ($($name:ident: $subject:ty),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                stillwire_tests::laws::check::<$subject>(2000);
            }
        )*
    };
}
stillwire_tests::each_subject!(laws);
