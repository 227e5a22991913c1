//! The application: takes an order over HTTP, writes it, and acknowledges it once it is committed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use holdfast_failover::uptime;
use holdfast_sources::postgres::{Address, Connection, Purpose};
use tokio::net::TcpListener;

use crate::history::Ack;
use crate::server::options;

pub const PORT: u16 = 8080;

struct Application {
    region: &'static str,
    database: Address,
    idle: Mutex<Vec<Connection>>,
}

/// Serves on the machine of the calling thread, as long as the process lives.
pub fn serve(region: &'static str, database: &str) {
    let application = Arc::new(Application {
        region,
        database: Address::parse(database).unwrap(),
        idle: Mutex::default(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(("0.0.0.0", PORT)).await.unwrap();
        let router = Router::new()
            .route("/orders", post(take))
            .route("/health", get(health))
            .with_state(application);
        axum::serve(listener, router).await.unwrap();
    });
}

async fn take(
    State(application): State<Arc<Application>>,
    id: String,
) -> Result<axum::Json<Ack>, (StatusCode, String)> {
    let done = tokio::task::spawn_blocking(move || application.write(&id))
        .await
        .unwrap();
    done.map(axum::Json)
        .map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error))
}

async fn health(State(application): State<Arc<Application>>) -> Result<&'static str, (StatusCode, String)> {
    let asked =
        tokio::task::spawn_blocking(move || application.with("SELECT pg_is_in_recovery()", |row| row[&0] == "f"));
    match asked.await.unwrap() {
        Ok(true) => Ok("takes orders"),
        Ok(false) => Err((StatusCode::SERVICE_UNAVAILABLE, "read only".to_owned())),
        Err(error) => Err((StatusCode::SERVICE_UNAVAILABLE, error)),
    }
}

impl Application {
    fn write(&self, id: &str) -> Result<Ack, String> {
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        let begun = uptime();
        let sql = format!(
            "INSERT INTO orders (id) VALUES ('{id}') RETURNING pg_current_xact_id(), \
             ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int"
        );
        self.with(&sql, |row| Ack {
            id: id.to_owned(),
            region: self.region.to_owned(),
            timeline: row[&1].parse().unwrap(),
            transaction: row[&0].parse().unwrap(),
            begun,
            done: uptime(),
        })
    }

    /// Asks over a connection that is free, or a new one. One that failed is not used again.
    fn with<T>(&self, sql: &str, read: impl FnOnce(BTreeMap<usize, String>) -> T) -> Result<T, String> {
        let idle = self.idle.lock().unwrap().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => {
                let mut database = self.database.clone();
                database.connect_timeout = Some(Duration::from_secs(2));
                Connection::open(&database, Purpose::Sql, &options()).map_err(|error| error.to_string())?
            }
        };
        let row = connection.query_one(sql).map_err(|error| error.to_string())?;
        self.idle.lock().unwrap().push(connection);
        let columns = (0..2).filter_map(|column| Some((column, row.text(column)?.to_owned())));
        Ok(read(columns.collect()))
    }
}
